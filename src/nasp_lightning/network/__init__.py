"""Networks: modules that classify images, built from architectures of the spaces."""
