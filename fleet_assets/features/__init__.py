"""Features of vehicles over trailing windows, as data, and the kernel that computes them."""
