// The entries of a session in the table of "rum.shared/1".
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

int32_t Session::RemoveShared(std::string_view key) {
  SharedTable* table = shares_ ? SharedTable::Get() : nullptr;
  return table ? table->Remove(id_, key) : RUM_NOT_FOUND;
}

SharedAnswer FindInSharedTable(std::string_view key) {
  SharedTable* table = SharedTable::Get();
  SharedAnswer answer{RUM_E_FAILED, std::string(RUM_MOST_SHARED_VALUE, '\0')};
  size_t size = answer.value.size();
  const int32_t status = table ? table->Find(key, answer.value.data(), &size, false) : RUM_E_FAILED;
  if (status == RUM_FOUND || status == RUM_NOT_FOUND) answer.status = status;
  answer.value.resize(status == RUM_FOUND ? size : 0);
  return answer;
}

void Session::EndShared() {
  if (shares_) SharedTable::SessionEnded(id_);
}

}  // namespace rum
