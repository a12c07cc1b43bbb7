"""The OpenAPI document beyond what views say of themselves: failures that any operation may have, examples, and links."""
