// What a session puts into the table of "rum.shared/1".
#include "proxy/session.h"
#include "proxy/shared_table.h"

namespace rum {

int32_t Session::PutShared(std::string_view key, std::string_view value, uint64_t lifetime) {
  if (!asking() || probe_ || refused_) return RUM_E_STATE;
  SharedTable* table = SharedTable::Get();
  if (!table) return RUM_E_UNSUPPORTED;
  const std::string user = record_.identified ? "user " + record_.user : "host " + address_.host();
  const int32_t status = table->Put({id_, user}, key, value, lifetime);
  if (status == RUM_OK && lifetime == 0) shares_ = true;
  return status;
}

void Session::EndShared() {
  if (shares_) SharedTable::SessionEnded(id_);
}

}  // namespace rum
