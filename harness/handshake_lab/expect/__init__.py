"""What tests compare with: time windows of timers, segments sent, states taken. Pure."""
