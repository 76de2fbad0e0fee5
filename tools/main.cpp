#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "sim/error.hpp"
#include "sim/json_text.hpp"
#include "tools/cli.hpp"

namespace {

int exit_status(foreplan::ErrorCode code) {
  switch (code) {
    case foreplan::ErrorCode::invalid_argument:
      return 2;
    case foreplan::ErrorCode::infeasible:
      return 3;
    case foreplan::ErrorCode::unavailable:
    case foreplan::ErrorCode::failed:
      return 1;
  }
  return 1;
}

/// One line, whatever the user called a file.
void complain(const char* what) {
  constexpr std::size_t kMost = 4000;
  std::cout.flush();
  std::cerr << "foreplan: " << foreplan::printable(what, kMost) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    foreplan::run_command_line(argc, argv, std::cout);
    std::cout.flush();
    if (!std::cout) throw foreplan::Error(foreplan::ErrorCode::failed, "cannot write the output");
    return 0;
  } catch (const foreplan::Error& error) {
    complain(error.what());
    return exit_status(error.code());
  } catch (const std::bad_alloc&) {
    complain("out of memory");
    return 1;
  } catch (const std::exception& error) {
    complain(error.what());
    return 1;
  }
}
