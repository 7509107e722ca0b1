"""What a recorded run does: the demonstration's exchange, or programs of the user's."""
