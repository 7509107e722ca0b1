"""Active faults: the segments that they match, what they do, and how often they fired."""
