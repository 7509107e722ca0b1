"""What was sent, what arrived and what was lost: two captures of each segment, joined."""
