"""What a pull request changes: base and head reproduced, and compared so that noise is called noise."""
