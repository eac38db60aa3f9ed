"""What users write, as frozen values: specs with their defaults, and every name that the operator gives."""
