// The dashboards and rules as a mixin, as monitoring.mixins.dev describes it. It reads the very files of
// ../grafana/dashboards and ../prometheus/rules, and changes in them only what `_config` sets.
local shipped = {
  job: 'partnercenter-exporter',
  runbooksUrl: 'https://git.example.com/partnercenter-exporter/blob/main/docs/runbooks',
};

{
  _config+:: {
    // job_name in Prometheus' scrape configuration.
    partnercenterJob: shipped.job,
    // Where the runbooks are, each named after its alert, with `.md`.
    partnercenterRunbooksUrl: shipped.runbooksUrl,
    // Address of your Grafana, which the alerts' links to the dashboards start with.
    partnercenterGrafanaUrl: '',
    // The rules and the dashboard for who has `detail` in the exporter's configuration.
    partnercenterCustomers: true,
  },

  local config = $._config,
  local base(url) = std.rstripChars(url, '/'),
  local linked(text) = std.strReplace(text, shipped.runbooksUrl, base(config.partnercenterRunbooksUrl)),
  local alerting(text) = std.foldl(
    function(rules, words) std.strReplace(rules, words % shipped.job, words % config.partnercenterJob),
    ['job="%s"', 'job: %s', 'job %s'],
    std.strReplace(text, 'dashboard_url: /d/', 'dashboard_url: %s/d/' % base(config.partnercenterGrafanaUrl))
  ),

  local dashboards = std.mapWithKey(function(name, text) linked(text), {
    'partnercenter-licenses.json': importstr '../grafana/dashboards/partnercenter-licenses.json',
    [if config.partnercenterCustomers then 'partnercenter-customers.json']:
      importstr '../grafana/dashboards/partnercenter-customers.json',
  }),
  local rules = std.mapWithKey(function(name, text) alerting(linked(text)), {
    'exporter.yaml': importstr '../prometheus/rules/exporter.yaml',
    'usage.yaml': importstr '../prometheus/rules/usage.yaml',
    [if config.partnercenterCustomers then 'customers.yaml']: importstr '../prometheus/rules/customers.yaml',
  }),

  grafanaDashboards+:: std.mapWithKey(function(name, text) std.parseJson(text), dashboards),

  // Rules that record for an alert stay in its group, which evaluates them in their order: a group that has an alert
  // is one of prometheusAlerts as a whole.
  local groups = std.flatMap(function(text) std.parseYaml(text).groups, std.objectValues(rules)),
  local alerts(group) = [rule for rule in group.rules if std.objectHas(rule, 'alert')],
  prometheusAlerts+:: { groups+: [group for group in groups if alerts(group) != []] },
  prometheusRules+:: { groups+: [group for group in groups if alerts(group) == []] },

  // The same as text, by path: byte for byte the files, as long as `_config` is as it is above.
  partnercenterFiles:: { ['grafana/dashboards/' + name]: dashboards[name] for name in std.objectFields(dashboards) }
                       + { ['prometheus/rules/' + name]: rules[name] for name in std.objectFields(rules) },
}
