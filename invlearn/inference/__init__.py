"""What a trained run is used for: codes, matches, scores, exports."""
