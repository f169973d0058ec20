#include "daemon/remote_map_start.h"

#include <event2/event.h>
#include <event2/thread.h>

#include <algorithm>
#include <utility>

#include "daemon/secret_file.h"
#include "upstream/resolver.h"

namespace rum {
namespace {

uint64_t Of(Millis time) { return static_cast<uint64_t>(time.count()); }

}  // namespace

Result<std::unique_ptr<RemoteMap>> MakeRemoteMap(const Settings& settings, Resolver& resolver) {
  auto any = [&](auto test) {
    return std::any_of(settings.map_sources.begin(), settings.map_sources.end(), test);
  };
  if (!any([](const MapSource& s) { return s.remote(); })) return std::unique_ptr<RemoteMap>();
  RemoteMap::Settings remote;
  remote.cache.ttl = Of(settings.map_ttl);
  remote.cache.negative_ttl = Of(settings.map_negative_ttl);
  remote.cache.stale = Of(settings.map_stale);
  remote.cache.bytes = settings.map_cache;
  remote.source.timeout = Of(settings.map_timeout);
  auto password = ReadSecret("map-password-file", settings.map_password_file);
  if (!password) return password.error();
  remote.source.password = std::move(*password);
  auto sentinel_password =
      ReadSecret("map-sentinel-password-file", settings.map_sentinel_password_file);
  if (!sentinel_password) return sentinel_password.error();
  remote.source.sentinel_password = std::move(*sentinel_password);
  auto token = ReadSecret("map-token-file", settings.map_token_file);
  if (!token) return token.error();
  remote.source.token = std::move(*token);
  remote.source.authorities = settings.map_ca;
  if (any([](const MapSource& s) { return s.tls; })) {
    TlsFiles files;
    files.authorities = settings.map_ca;
    auto tls = TlsContext::Client(files, true);
    if (!tls) return Error{Fault::kConfig, "--map-ca: " + tls.error().text};
    remote.source.tls = std::move(*tls);
  }
  return std::make_unique<RemoteMap>(resolver, settings.map_sources, std::move(remote));
}

Result<std::vector<std::string>> FindDownSources(const Settings& settings) {
  constexpr timeval kLook = {0, 20000};
  evthread_use_pthreads();
  std::unique_ptr<event_base, decltype(&event_base_free)> base(event_base_new(), event_base_free);
  Resolver resolver(base.get(), Millis(0), settings.dns_timeout, settings.resolv_conf);
  auto remote = MakeRemoteMap(settings, resolver);
  if (!remote) return remote.error();
  std::vector<std::string> down;
  if (!*remote) return down;
  if (auto started = (*remote)->Start({}); !started) return started.error();
  const uint64_t end = NowMillis() + Of(settings.map_timeout) + Of(settings.dns_timeout);
  std::vector<RemoteMap::SourceState> states;
  for (bool known = false; !known && NowMillis() < end;) {
    event_base_loopexit(base.get(), &kLook);
    event_base_dispatch(base.get());
    states = (*remote)->States();
    known = true;
    for (size_t i = 0; i < states.size(); ++i) {
      known &= !settings.map_sources[i].remote() || states[i].known;
    }
  }
  for (size_t i = 0; i < states.size(); ++i) {
    if (!settings.map_sources[i].remote() || states[i].up) continue;
    const std::string why = states[i].known ? states[i].fault : "no answer";
    down.push_back(settings.map_sources[i].text + ": " + why);
  }
  return down;
}

}  // namespace rum
