// The scripted host's group "rum.shared/1": a table of the process, and what other processes have.
#include "check/host_table.h"

namespace rum {
namespace host_table {
namespace {

int32_t PutShared(rum_session* handle, const void* key, size_t key_size, const void* value,
                  size_t value_size, uint64_t lifetime) {
  ScriptedSession* session = Find(handle, "put");
  if (!session) return RUM_E_STATE;
  if (!Sensible("put", key, 1) || !Sensible("put", value, value_size)) return RUM_E_ARGUMENT;
  if (key_size > RUM_MOST_SHARED_KEY || value_size > RUM_MOST_SHARED_VALUE) return RUM_E_LIMIT;
  return session->PutShared({static_cast<const char*>(key), key_size},
                            {static_cast<const char*>(value_size ? value : ""), value_size},
                            lifetime);
}

int32_t FindShared(const char* call, const void* key, size_t key_size, void* value,
                   size_t* value_size, bool take) {
  if (!Sensible(call, key, 1) || !Sensible(call, value, value_size ? *value_size : 0)) {
    return RUM_E_ARGUMENT;
  }
  if (key_size > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  const Current current = LockCurrent();
  if (!current.world) return RUM_E_UNSUPPORTED;
  return current.world->shared.Find(std::string(static_cast<const char*>(key), key_size), value,
                                    value_size, take, clock);
}

int32_t GetShared(const void* key, size_t key_size, void* value, size_t* value_size) {
  if (!Sensible("get", value_size, 1)) return RUM_E_ARGUMENT;
  return FindShared("get", key, key_size, value, value_size, false);
}

int32_t TakeShared(const void* key, size_t key_size, void* value, size_t* value_size) {
  return FindShared("take", key, key_size, value, value_size, true);
}

int32_t FindAnyShared(rum_session* handle, const void* key, size_t key_size) {
  ScriptedSession* session = Find(handle, "find");
  if (!session) return RUM_E_STATE;
  if (!Sensible("find", key, 1) || key_size == 0) return RUM_E_ARGUMENT;
  if (key_size > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  return session->FindShared({static_cast<const char*>(key), key_size});
}

int32_t RemoveShared(rum_session* handle, const void* key, size_t key_size) {
  ScriptedSession* session = Find(handle, "remove");
  if (!session) return RUM_NOT_FOUND;
  if (!Sensible("remove", key, 1) || key_size == 0) return RUM_E_ARGUMENT;
  if (key_size > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  return session->RemoveShared({static_cast<const char*>(key), key_size});
}

}  // namespace

const rum_shared kShared = {
    .struct_size = sizeof(rum_shared),
    .reserved = 0,
    .put = PutShared,
    .get = GetShared,
    .take = TakeShared,
    .find = FindAnyShared,
    .remove = RemoveShared,
};

}  // namespace host_table
}  // namespace rum
