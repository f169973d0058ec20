// What a verdict of rum's admit() means here: what the client is told, and what the log says.
#pragma once

#include <cstdint>
#include <string_view>

#include "mysql/reply.h"

namespace rum::mysql {

// The rules of a user are nobody's business: who breaks one sees what a wrong password sees.
bool LooksLikeAWrongPassword(int32_t verdict);

// For the other verdicts, as servers word them.
ServerError ErrorForVerdict(int32_t verdict, std::string_view user);

uint32_t ReasonForVerdict(int32_t verdict);
std::string_view TextForVerdict(int32_t verdict);

}  // namespace rum::mysql
