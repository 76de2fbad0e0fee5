#pragma once

#include <memory>
#include <string>

#include "runtime/backend.hpp"

namespace foreplan {

/// The devices that a command was told to work on.
struct BackendChoice {
  std::string name = "host";
  int devices = 1;          ///< cuda: logical ones; several share a GPU where there are fewer
  bool cuda_graph = false;  ///< cuda: each step is one CUDA graph
};

/// Refuses early what `make_backend` would refuse.
/// @throws Error(unavailable) if this build or machine lacks it, telling why; Error(invalid_argument)
///   for a name that nobody has
void check_backend(const std::string& name);

/// @throws Error as check_backend
std::unique_ptr<Backend> make_backend(const BackendChoice& choice);

/// What `devices` devices of a backend are, for people: "some CPU"; "NVIDIA H100"; "2 logical devices on
/// NVIDIA H100".
/// @throws Error as check_backend
std::string device_name(const std::string& backend, int devices);

}  // namespace foreplan
