// A program as most exporters are: client_golang's gauges, gathered and rendered again at each scrape.
//
//	go run . FILE ADDRESS
//
// FILE holds a series a line, as JSON: [name, {label: value}, number].
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	fill(registry, os.Args[1])
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.ListenAndServe(os.Args[2], nil))
}

func fill(registry *prometheus.Registry, path string) {
	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	families := map[string]*prometheus.GaugeVec{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var name string
		var labels map[string]string
		var value float64
		if err := json.Unmarshal(lines.Bytes(), &[]any{&name, &labels, &value}); err != nil {
			log.Fatal(err)
		}
		family, known := families[name]
		if !known {
			options := prometheus.GaugeOpts{Name: name, Help: "Same series as the exporter."}
			family = prometheus.NewGaugeVec(options, slices.Sorted(maps.Keys(labels)))
			registry.MustRegister(family)
			families[name] = family
		}
		family.With(labels).Set(value)
	}
}
