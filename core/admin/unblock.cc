#include "admin/unblock.h"

#include "base/cidr.h"
#include "limits/admission.h"
#include "proxy/proxy.h"
#include "settings/settings.h"
#include "share/share.h"

namespace rum {
namespace {

Result<Cidr> ReadKey(const LoginGuard::Settings& settings, const std::string& text) {
  const size_t slash = text.find('/');
  auto address = SocketAddress::Client(text.substr(0, slash));
  if (!address) return address.error();
  if (!address->ip()) return Error{Fault::kConfig, "clients of unix sockets are never blocked"};
  const Cidr key = LoginGuard::KeyOf(settings, *address);
  if (slash == text.npos) return key;
  auto network = Cidr::Parse(text);
  if (!network) return network.error();
  if (*network == key) return key;
  return Error{Fault::kConfig, "the address is blocked as " + key.text() + ", not as " + text};
}

}  // namespace

Result<std::string> Unblock(Proxy& proxy, const std::string& address) {
  const auto key = ReadKey(proxy.settings()->admission.guard, address);
  if (!key) return key.error();
  const bool elsewhere = proxy.other_nodes().Blocks(*key);
  const bool here = proxy.admission().guard().Unblock(*key);
  proxy.other_nodes().NoteUnblock(*key);
  std::string done = key->text() + (here || elsewhere ? " is unblocked" : " was not blocked here");
  if (!proxy.share()) return done;
  return done + (proxy.share()->state().up ? "; the processes that share limits follow"
                                           : "; Redis is not reached, so other processes follow "
                                             "when it is");
}

}  // namespace rum
