"""The paper's grids, figures and claims, from finished runs."""
