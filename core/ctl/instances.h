// Finds the sockets of --control: that of an instance by its name, or of the only one that runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace rum {

inline constexpr char kInstancesFolder[] = "/run/rum";

// The names of the instances that have a socket, FOLDER/NAME/control.sock, in order.
std::vector<std::string> Instances(const std::string& folder);

// `name`: of an instance; empty: FOLDER/control.sock if it exists, or else the only instance.
// Fails if there are several to choose from.
Result<std::string> FindSocket(const std::string& folder, const std::string& name);

}  // namespace rum
