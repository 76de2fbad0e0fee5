// The libFuzzer program of every reader: fuzz_readers --target=NAME [libFuzzer's options] [corpus],
// or --list, which prints each target and the folder of the project that has input for it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "sim/error.hpp"
#include "tests/fuzz/mutation.hpp"
#include "tests/fuzz/targets.hpp"

namespace {

using namespace foreplan::fuzz;

/// What libFuzzer's plain functions share: it has no place for it of its own.
struct Session {
  const Target* target = nullptr;
  MemoryFile file;
};

Session& session() {
  static Session the_session;
  return the_session;
}

[[noreturn]] void list_targets() {
  for (const Target& target : targets()) {
    std::printf("%.*s %.*s\n", static_cast<int>(target.name.size()), target.name.data(),
                static_cast<int>(target.seeds.size()), target.seeds.data());
  }
  std::exit(0);
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  try {
    for (int i = 1; i < *argc; ++i) {
      const std::string_view argument = (*argv)[i];
      if (argument == "--list") list_targets();
      if (argument.starts_with(kOption)) {
        session().target = &target_named(argument.substr(kOption.size()));
      }
    }
    if (session().target == nullptr) target_named("");
  } catch (const foreplan::Error& error) {
    std::fprintf(stderr, "fuzz_readers: %s\n", error.what());
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto found = fault(*session().target, session().file, text)) {
    std::fprintf(stderr, "fault: %s\n", found->c_str());
    std::abort();
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned int seed) {
  if (!session().target->json || seed % 2 == 0) return LLVMFuzzerMutate(data, size, most);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string changed = mutated_json(text, seed);
  if (changed.empty() || changed.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(changed.begin(), changed.end(), reinterpret_cast<char*>(data));
  return changed.size();
}
