"""Real data: the method beside what people would use instead."""
