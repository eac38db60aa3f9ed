"""What tests of workflows need: recorded histories replayed against today's code."""
