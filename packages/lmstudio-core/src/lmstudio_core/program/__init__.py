"""The program around us: what its people see, and how it starts Python again."""
