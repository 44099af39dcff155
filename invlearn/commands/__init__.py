"""Subcommands, one file each: ``main(argv)`` parses the words after its name and returns the exit status."""
