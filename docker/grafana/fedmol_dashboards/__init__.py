"""Grafana's dashboards as code. `make dashboards` writes them anew into docker/grafana/dashboards."""
