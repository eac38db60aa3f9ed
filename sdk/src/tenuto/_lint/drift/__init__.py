"""What changed between a base revision and now, as far as recorded histories care: `tenuto lint --base`."""
