#include "daemon/explain.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "base/log.h"
#include "daemon/remote_map_start.h"
#include "geo/geo_database.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "probe/explainer.h"
#include "proxy/proxy.h"
#include "tls/tls_contexts.h"

namespace rum {
namespace {

// Runs a proxy without listeners to answer the question.
Result<Explanation> Answer(std::shared_ptr<const Settings> settings,
                           std::shared_ptr<const ModuleConfig> config,
                           std::shared_ptr<const MapFile> map,
                           std::shared_ptr<const GeoDatabase> geo,
                           std::shared_ptr<const TlsContexts> tls) {
  std::unique_ptr<event_base, decltype(&event_base_free)> base(event_base_new(), event_base_free);
  Proxy proxy(base.get(), settings, std::move(config));
  proxy.SetMap(std::move(map));
  proxy.SetGeo(std::move(geo));
  proxy.SetTls(std::move(tls));
  auto remote = MakeRemoteMap(*settings, proxy.resolver());
  if (!remote) return remote.error();
  proxy.SetRemoteMap(std::move(*remote));
  if (proxy.remote_map()) {
    if (auto started = proxy.remote_map()->Start({}); !started) return started.error();
  }
  if (auto started = proxy.Start(); !started) return started.error();
  Explainer explainer(proxy);
  std::optional<Explanation> answer;
  explainer.Ask({settings->explain, settings->explain_from}, [&](Explanation explanation) {
    answer = std::move(explanation);
    event_base_loopbreak(base.get());
  });
  if (!answer) event_base_dispatch(base.get());
  proxy.Join();
  return std::move(*answer);
}

}  // namespace

int Explain(const CommandLine& line) {
  auto fail = [](const Error& error) {
    std::fputs(("rum: " + error.text + "\n").c_str(), stderr);
    return static_cast<int>(error.fault);
  };
  // Standard output has the answer; log only errors.
  auto settings = std::make_shared<Settings>(*line.settings);
  settings->workers = 1;
  settings->log = {.target = "stderr", .level = log::Level::kError};
  evthread_use_pthreads();
  if (auto opened = log::Open(settings->log); !opened) return fail(opened.error());
  auto config = ModuleConfig::Make(line.module, settings->module_values);
  if (!config) return fail(config.error());
  auto tls = TlsContexts::Look(settings->tls);
  if (!tls) return fail(tls.error());
  std::shared_ptr<const MapFile> map;
  if (!settings->map.empty()) {
    auto loaded = MapFile::Load(settings->map);
    if (!loaded) return fail(loaded.error());
    map = std::move(*loaded);
  }
  std::shared_ptr<const GeoDatabase> geo;
  if (!settings->geo_db.empty()) {
    auto loaded = GeoDatabase::Load(settings->geo_db);
    if (!loaded) return fail(loaded.error());
    geo = std::move(*loaded);
  }
  auto answer =
      Answer(settings, std::move(*config), std::move(map), std::move(geo), std::move(*tls));
  if (!answer) return fail(answer.error());
  for (const auto& [key, value] : answer->lines) fmt::print("{:<12} {}\n", key, value);
  log::Close();
  return answer->possible ? 0 : static_cast<int>(Fault::kConfig);
}

}  // namespace rum
