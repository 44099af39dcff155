"""Speed of invlearn against what people would use instead."""
