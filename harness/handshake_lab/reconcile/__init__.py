"""From observations to one history per endpoint. Pure: values in, values out."""
