// What the glue calls: a login of a client, or a probe of a server. Hooks that one of the two never
// gets do nothing.
#pragma once

#include <rum/module.h>

#include <cstdint>

#include "mysql/reader.h"

namespace rum::mysql {

class Conversation {
 public:
  virtual ~Conversation() = default;

  // The hooks of the same names. Data: how many bytes were consumed.
  virtual int64_t OnClientData(Bytes) { return 0; }
  virtual int64_t OnUpstreamData(Bytes bytes) = 0;
  virtual void OnLookedUp(int32_t, Bytes) {}
  virtual void OnUpstreamOpen(uint32_t reason) = 0;
  virtual void OnTlsOpen(uint32_t side, int32_t status) = 0;
  virtual int32_t OnSideEnd(uint32_t) { return RUM_END; }
  virtual void OnTimeout(uint64_t) {}
  virtual void OnResumed(int32_t) {}
  virtual void OnClose(uint32_t reason) = 0;

  // The login is over and this object is of no more use.
  virtual bool relaying() const { return false; }
};

}  // namespace rum::mysql
