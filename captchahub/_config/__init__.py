"""Reading a configuration: text to plain values, plain values to typed ones, and every problem on the way."""
