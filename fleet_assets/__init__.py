"""Fleet telemetry platform: from Kafka to a lossless lake, a warehouse and marts."""
