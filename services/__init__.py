"""The four services. None imports another; they talk through Kafka."""
