#include "runtime/checkpoint.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "runtime/initialisation.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

constexpr std::string_view kMagic = "FOREPLAN";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kLongestName = 4096;

/// FNV-1a over 64-bit words, the rest byte by byte: notices damage, not malice.
std::uint64_t checksum(std::string_view text) {
  constexpr std::uint64_t kPrime = 0x100000001b3U;
  std::uint64_t hash = 0xcbf29ce484222325U;
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 29U;  // else the upper bits of a word reach only the upper bits of the sum
  }
  for (; i < text.size(); ++i) hash = (hash ^ static_cast<std::uint8_t>(text[i])) * kPrime;
  return hash;
}

class Writer {
 public:
  template <typename Number>
  void number(Number value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint64_t>(value.size()));
    text_.append(value);
  }
  void tensors(const Tensors& tensors) {
    for (const std::vector<float>& tensor : tensors) {
      text_.append(reinterpret_cast<const char*>(tensor.data()), tensor.size() * sizeof(float));
    }
  }
  void raw(std::string_view value) { text_.append(value); }
  std::string& result() { return text_; }

 private:
  std::string text_;
};

/// Takes a checkpoint apart; whatever does not fit is one line that names the file.
class Reader {
 public:
  Reader(std::string file, std::string_view text) : file_(std::move(file)), text_(text) {}

  std::string_view raw(std::size_t size) {
    if (size > text_.size()) fail("is damaged: it ends too early");
    const std::string_view result = text_.substr(0, size);
    text_.remove_prefix(size);
    return result;
  }
  template <typename Number>
  Number number() {
    Number value{};
    std::memcpy(&value, raw(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text() {
    const auto size = number<std::uint64_t>();
    if (size > kLongestName) fail("is damaged: it holds a name without end");
    return raw(size);
  }
  Tensors tensors(const OpGraph& model) {
    Tensors result = zero_tensors(model);
    for (std::vector<float>& tensor : result) {
      const std::size_t size = tensor.size() * sizeof(float);
      std::memcpy(tensor.data(), raw(size).data(), size);
    }
    return result;
  }
  std::size_t left() const { return text_.size(); }
  std::string_view rest() const { return text_; }

  [[noreturn]] void fail(const std::string& what) const {
    reject(fmt::format("{}: {}", file_, what));
  }

 private:
  std::string file_;
  std::string_view text_;
};

std::string body(const OpGraph& model, Optimizer optimizer, const TrainingState& state) {
  Writer writer;
  writer.text(model.name());
  writer.text(name(optimizer));
  writer.number(state.step);
  writer.number(static_cast<std::uint64_t>(model.parameters().size()));
  for (const Parameter& parameter : model.parameters()) {
    writer.number(parameter.rows);
    writer.number(parameter.columns);
  }
  writer.tensors(state.weights);
  for (const Tensors& tensors : state.optimizer_state) writer.tensors(tensors);
  return std::move(writer.result());
}

void check_name(Reader& reader, const char* what, std::string_view expected) {
  const std::string_view found = reader.text();
  if (found == expected) return;
  reader.fail(
      fmt::format("expected a checkpoint of {} \"{}\", found \"{}\"", what, expected, found));
}

void check_shapes(Reader& reader, const OpGraph& model) {
  const auto count = reader.number<std::uint64_t>();
  if (count != model.parameters().size()) {
    reader.fail(fmt::format("expected {} tensors, found {}", model.parameters().size(), count));
  }
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& expected = model.parameters()[i];
    const auto rows = reader.number<std::int64_t>();
    const auto columns = reader.number<std::int64_t>();
    if (rows == expected.rows && columns == expected.columns) continue;
    reader.fail(fmt::format("expected tensor {} as {} x {}, found {} x {}", i, expected.rows,
                            expected.columns, rows, columns));
  }
}

void check_header(Reader& reader) {
  if (reader.left() < kMagic.size() || reader.raw(kMagic.size()) != kMagic) {
    reader.fail("is no checkpoint");
  }
  const auto version = reader.number<std::uint32_t>();
  if (version != kVersion) {
    reader.fail(fmt::format("expected version {} of checkpoints, found {}", kVersion, version));
  }
  const auto size = reader.number<std::uint64_t>();
  const auto sum = reader.number<std::uint64_t>();
  if (size != reader.left()) {
    reader.fail(fmt::format("is damaged: expected {} bytes, found {}", size, reader.left()));
  }
  if (sum != checksum(reader.rest())) reader.fail("is damaged: the checksum is wrong");
}

bool fits(const Tensors& tensors, const Tensors& expected) {
  if (tensors.size() != expected.size()) return false;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].size() != expected[i].size()) return false;
  }
  return true;
}

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || !std::filesystem::is_regular_file(path)) {
    reject(fmt::format("{}: expected a checkpoint, found no file", path.string()));
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const OpGraph& model, Optimizer optimizer,
                     const TrainingState& state) {
  const Tensors expected = zero_tensors(model);
  bool sound = fits(state.weights, expected) &&
               state.optimizer_state.size() == static_cast<std::size_t>(state_tensors(optimizer));
  for (const Tensors& tensors : state.optimizer_state) sound = sound && fits(tensors, expected);
  if (!sound) reject(fmt::format("{}: the state is not one of {}", path.string(), model.name()));
  const std::string text = body(model, optimizer, state);
  Writer writer;
  writer.raw(kMagic);
  writer.number(kVersion);
  writer.number(static_cast<std::uint64_t>(text.size()));
  writer.number(checksum(text));
  writer.raw(text);
  write_file(path, writer.result());
}

TrainingState load_checkpoint(const std::filesystem::path& path, const OpGraph& model,
                              Optimizer optimizer) {
  const std::string text = read_whole(path);
  Reader reader(path.string(), text);
  check_header(reader);
  check_name(reader, "model", model.name());
  check_name(reader, "optimizer", name(optimizer));
  TrainingState state{.step = reader.number<std::int64_t>()};
  if (state.step < 0) reader.fail("is damaged: a negative step");
  check_shapes(reader, model);
  state.weights = reader.tensors(model);
  for (int i = 0; i < state_tensors(optimizer); ++i) {
    state.optimizer_state.push_back(reader.tensors(model));
  }
  if (reader.left() != 0) reader.fail("is damaged: it goes on too long");
  return state;
}

}  // namespace foreplan
