"""Words that nobody must find again are planted wherever people can put words, and looked for everywhere."""
