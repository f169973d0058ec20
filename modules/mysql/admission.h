// Turns a verdict of rum's admit() into the client's error and the text in the log.
#pragma once

#include <cstdint>
#include <string_view>

#include "mysql/reply.h"

namespace rum::mysql {

// Hides a user's rules: a client that breaks one sees the error of a wrong password.
bool LooksLikeAWrongPassword(int32_t verdict);

// For the other verdicts, in the servers' words.
ServerError ErrorForVerdict(int32_t verdict, std::string_view user);

uint32_t ReasonForVerdict(int32_t verdict);
std::string_view TextForVerdict(int32_t verdict);

}  // namespace rum::mysql
