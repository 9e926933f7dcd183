"""From a family and data to parameters and their uncertainty."""
