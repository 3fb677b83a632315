"""Grafana's dashboards as code. `make generate` writes them into docker/grafana/dashboards."""
