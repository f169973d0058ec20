// The PROXY headers of a session: the one by which another proxy tells who the client is, and the
// one that tells it to the server.
#include "base/proxy_header.h"
#include "proxy/dialogue.h"
#include "proxy/probe.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {

// Reads the header, and leaves what stands behind it for TLS or the module. True: something came.
bool Session::ReadHeader() {
  Dialogue& d = *dialogue_;
  Side& client = side(RUM_CLIENT);
  Window& w = d.windows[RUM_CLIENT];
  size_t n = client.readable() ? client.Read(worker_.buffer(), Worker::kBufferSize) : 0;
  worker_.counters.client_bytes.Add(n);
  w.bytes.Append(worker_.buffer(), n);
  auto header = ParseProxyHeader({reinterpret_cast<const char*>(w.bytes.data()), w.bytes.size()});
  if (header.status == ProxyHeader::Status::kMore) {
    // Who only looks whether somebody listens has broken no protocol.
    if (client.broken() || (client.ended() && w.bytes.empty())) {
      AskClose(RUM_CLOSE_CLIENT_GONE, {});
    } else if (client.ended()) {
      AskClose(RUM_CLOSE_CLIENT_PROTOCOL, "the PROXY header is cut short");
    }
    return n > 0 || client.broken() || client.ended();
  }
  if (header.status == ProxyHeader::Status::kBad) {
    AskClose(RUM_CLOSE_CLIENT_PROTOCOL, header.fault);
    return true;
  }
  d.header = false;
  d.phase.Disarm();
  w.bytes.Consume(header.size);
  w.fresh = !w.bytes.empty();
  if (header.ends) {
    record_.proxied =
        std::make_unique<ProxiedAddress>(ProxiedAddress{address_, header.ends->destination});
    address_ = header.ends->source;
    Trace("the PROXY header says that it comes from {}", address_.text());
  }
  Welcome();
  return true;
}

// The first thing that a server gets, before TLS too (--send-proxy).
void Session::SendHeader() {
  ProxyVersion version = worker_.settings().send_proxy;
  if (version == ProxyVersion::kOff) return;
  std::optional<ProxyEnds> ends;
  if (record_.proxied) {
    ends = {address_, record_.proxied->destination};
  } else if (!probe_ && address_.ip()) {
    ends = {address_, side(RUM_CLIENT).LocalAddress()};
  }
  std::string header = BuildProxyHeader(version, ends);
  side(RUM_UPSTREAM).Queue(header.data(), header.size());
}

}  // namespace rum
