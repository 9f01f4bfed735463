"""What the page and the API share: turns, bodies, connections, hosts, the log. It knows neither."""
