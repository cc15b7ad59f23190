espalierCharts({{ specifications|tojson }});
