#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "runtime/cuda/cuda_call.hpp"
#include "runtime/cuda/handles.hpp"
#include "sim/error.hpp"
#include "tests/runtime/cuda/gpu.hpp"
#include "tests/runtime/kernel_trial.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;
using Raw = std::vector<std::byte>;

constexpr std::size_t kWorkspace = 1 << 20;

/// Runs one op on a GPU, once, on operands that lie `skew` bytes off their alignment.
class Device {
 public:
  Device()
      : stream_(make_stream()),
        blas_(make_blas()),
        workspace_(make_gpu_memory(kWorkspace)),
        step_(make_gpu_memory(sizeof(CudaStep))),
        fault_(make_gpu_memory(sizeof(KernelFault))) {}

  std::vector<Raw> run(const OpKey& key, const StepContext& context, const std::vector<Raw>& reads,
                       const std::vector<Raw>& writes, std::size_t skew) {
    const CudaStep step = cuda_step(context);
    const KernelFault none;
    check(cudaMemcpy(step_.get(), &step, sizeof step, cudaMemcpyDefault), "cudaMemcpy");
    check(cudaMemcpy(fault_.get(), &none, sizeof none, cudaMemcpyDefault), "cudaMemcpy");
    std::vector<GpuMemory> memory;
    const auto place = [&](const Raw& raw) {
      memory.push_back(make_gpu_memory(raw.size() + skew));
      std::byte* const at = static_cast<std::byte*>(memory.back().get()) + skew;
      check(cudaMemcpy(at, raw.data(), raw.size(), cudaMemcpyDefault), "cudaMemcpy");
      return at;
    };
    std::vector<const std::byte*> in;
    std::vector<std::byte*> out;
    for (const Raw& raw : reads) in.push_back(place(raw));
    for (const Raw& raw : writes) out.push_back(place(raw));
    make_cuda_call(context_of(), {.key = key, .flops = {}, .traffic = {}}, in, out)
        ->enqueue(stream_.get());
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
    std::vector<Raw> after = writes;
    for (std::size_t i = 0; i < after.size(); ++i) {
      check(cudaMemcpy(after[i].data(), out[i], after[i].size(), cudaMemcpyDefault), "cudaMemcpy");
    }
    return after;
  }

  KernelFault fault() const {
    KernelFault fault;
    check(cudaMemcpy(&fault, fault_.get(), sizeof fault, cudaMemcpyDefault), "cudaMemcpy");
    return fault;
  }

  CudaStreamContext context_of() const {
    return {.multiprocessors = 2,
            .blas = blas_.get(),
            .workspace = workspace_.get(),
            .workspace_bytes = kWorkspace,
            .step = static_cast<const CudaStep*>(step_.get()),
            .fault = static_cast<KernelFault*>(fault_.get())};
  }

 private:
  StreamHandle stream_;
  BlasHandle blas_;
  GpuMemory workspace_, step_, fault_;
};

Raw raw(const Values& values) {
  Raw bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Values values(const Raw& bytes) {
  Values numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

/// Whether an operand holds 4-byte words whatever the dtype: it is then as large in bf16 as in fp32.
bool is_word(const OpKey& key, bool write, std::size_t i) {
  OpKey narrow = key;
  narrow.dtype = DType::bf16;
  const OperandBytes wide = operand_bytes(key), half = operand_bytes(narrow);
  return write ? wide.writes[i] == half.writes[i] : wide.reads[i] == half.reads[i];
}

Raw narrowed(const Values& numbers, DType dtype) {
  Raw bytes(numbers.size() * 2);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const __half half = __float2half(numbers[i]);
    const __nv_bfloat16 bfloat = __float2bfloat16(numbers[i]);
    std::memcpy(&bytes[2 * i], dtype == DType::fp16 ? static_cast<const void*>(&half) : &bfloat, 2);
  }
  return bytes;
}

Values widened(const Raw& bytes, DType dtype) {
  Values numbers(bytes.size() / 2);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    __half half;
    __nv_bfloat16 bfloat;
    std::memcpy(dtype == DType::fp16 ? static_cast<void*>(&half) : &bfloat, &bytes[2 * i], 2);
    numbers[i] = dtype == DType::fp16 ? __half2float(half) : __bfloat162float(bfloat);
  }
  return numbers;
}

/// The operands of a trial that its op cannot take at random.
void make_sound(Trial& t) {
  if (t.key.op == "softmax_cross_entropy") {
    t.set_labels(1, static_cast<std::int32_t>(t.key.shape[1]));
  }
  if (t.key.op == "embedding") t.set_labels(0, static_cast<std::int32_t>(t.key.shape[1]));
  if (t.key.op == "adam") {
    for (float& moment : t.before[2]) moment = std::fabs(moment);
  }
}

OpKey in(const OpKey& key, DType dtype) {
  OpKey result = key;
  result.dtype = dtype;
  return result;
}

/// Runs the trial on the GPU in `dtype` and compares with the host's fp32.
void compare(Device& device, Trial& t, DType dtype, double tolerance, std::size_t skew) {
  const bool narrow = element_size(dtype).count == 2;
  std::vector<Raw> reads, writes;
  const auto place = [&](Values& numbers, bool write, std::size_t i) {
    const bool convert = narrow && !is_word(t.key, write, i);
    const Raw bytes = convert ? narrowed(numbers, dtype) : raw(numbers);
    if (convert) numbers = widened(bytes, dtype);  // the host sees what the GPU sees
    return bytes;
  };
  for (std::size_t i = 0; i < t.reads.size(); ++i) reads.push_back(place(t.reads[i], false, i));
  for (std::size_t i = 0; i < t.before.size(); ++i) writes.push_back(place(t.before[i], true, i));
  t.run();
  const std::vector<Raw> after = device.run(in(t.key, dtype), t.context, reads, writes, skew);
  for (std::size_t w = 0; w < after.size(); ++w) {
    const bool convert = narrow && !is_word(t.key, true, w);
    const Values got = convert ? widened(after[w], dtype) : values(after[w]);
    ASSERT_EQ(got.size(), t.after[w].size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], t.after[w][i], tolerance * std::max(1.0F, std::fabs(t.after[w][i])))
          << format(in(t.key, dtype)) << " result " << w << " element " << i << " skew " << skew;
    }
  }
}

struct Case {
  std::string op;
  Pass pass = Pass::forward;
  std::vector<std::vector<std::int64_t>> shapes;
};

const std::vector<std::vector<std::int64_t>> kElements{{1}, {7}, {64}, {1037}, {5000}};
const std::vector<std::vector<std::int64_t>> kRows{{1, 1}, {3, 7}, {5, 64}, {70, 24}, {3, 1500}};
const std::vector<std::vector<std::int64_t>> kProducts{{1, 1, 1}, {3, 5, 7}, {16, 32, 8}, {9, 40, 24}};

std::vector<Case> cases() {
  std::vector<Case> all{
      {"add", Pass::forward, kElements},
      {"accumulate", Pass::forward, kElements},
      {"copy", Pass::forward, kElements},
      {"sgd", Pass::optimizer, kElements},
      {"adam", Pass::optimizer, kElements},
      {"bias_add", Pass::forward, kRows},
      {"bias_add", Pass::backward_weight, kRows},
      {"softmax_cross_entropy", Pass::forward, kRows},
      {"softmax_cross_entropy", Pass::backward_input, kRows},
      {"gather_columns", Pass::forward, {{3, 6, 3}, {5, 64, 2}, {1, 1, 1}}},
      {"gather_columns", Pass::backward_input, {{3, 6, 3}, {5, 64, 2}, {1, 1, 1}}},
      {"embedding", Pass::forward, {{4, 5, 19}, {300, 7, 32}}},
      {"embedding", Pass::backward_weight, {{4, 5, 19}, {300, 7, 32}}}};
  for (const char* op : {"relu", "gelu"}) {
    all.push_back({op, Pass::forward, kElements});
    all.push_back({op, Pass::backward_input, kElements});
  }
  for (const char* op : {"layer_norm", "rms_norm", "softmax"}) {
    all.push_back({op, Pass::forward, kRows});
    all.push_back({op, Pass::backward_input, kRows});
    if (std::string(op) != "softmax") all.push_back({op, Pass::backward_weight, kRows});
  }
  for (const char* op : {"linear", "matmul"}) {
    for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
      all.push_back({op, pass, kProducts});
    }
  }
  return all;
}

class Kernels : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (const std::string why = no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }

  void compare_all(DType dtype, double tolerance, std::size_t skew) {
    Device device;
    for (const auto& shape : GetParam().shapes) {
      for (const bool accumulate : {false, true}) {
        if (accumulate && GetParam().pass == Pass::optimizer) continue;
        Trial t({.op = GetParam().op,
                 .pass = GetParam().pass,
                 .shape = shape,
                 .accumulate = accumulate});
        make_sound(t);
        compare(device, t, dtype, tolerance, skew);
      }
    }
  }
};

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return info.param.op + "_" + std::string(name(info.param.pass));
}

INSTANTIATE_TEST_SUITE_P(All, Kernels, testing::ValuesIn(cases()), case_name);

TEST_P(Kernels, AgreeWithTheHost) { compare_all(DType::fp32, 1e-5, 0); }
TEST_P(Kernels, AgreeWithTheHostOffAlignment) { compare_all(DType::fp32, 1e-5, 4); }
// 8 bits of fraction round to 2^-9 = 0.002 of each value, 11 bits to 2^-12; tf32 keeps 11 bits of each factor.
TEST_P(Kernels, AgreeWithTheHostInBf16) { compare_all(DType::bf16, 0.02, 0); }
TEST_P(Kernels, AgreeWithTheHostInFp16OffAlignment) { compare_all(DType::fp16, 0.003, 2); }
TEST_P(Kernels, AgreeWithTheHostInTf32) { compare_all(DType::tf32, 0.02, 0); }

class KernelFaults : public GpuTest {};

TEST_F(KernelFaults, NameTheFirstRowAndItsLabel) {
  Trial t({.op = "softmax_cross_entropy", .shape = {4, 3}});
  t.set_labels(1, 3);
  t.reads[1][2] = std::bit_cast<float>(-7);
  t.reads[1][3] = std::bit_cast<float>(3);
  Device device;
  device.run(t.key, t.context, {raw(t.reads[0]), raw(t.reads[1])}, {raw(t.before[0]), raw(t.before[1])},
             0);
  EXPECT_EQ(device.fault().row_and_label >> 32, 2U);
  EXPECT_EQ(static_cast<std::int32_t>(device.fault().row_and_label), -7);
}

TEST_F(KernelFaults, RefuseWhatIsNotInTheTable) {
  Device device;
  const auto refusal = [&](OpKey key, std::size_t reads, std::size_t writes) {
    const Op op{.key = std::move(key), .flops = {}, .traffic = {}};
    return rejection([&] {
      make_cuda_call(device.context_of(), op, std::vector<const std::byte*>(reads),
                     std::vector<std::byte*>(writes));
    });
  };
  EXPECT_THAT(refusal({.op = "convolve", .shape = {1}}, 1, 1), HasSubstr("no kernel"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {4}, .dtype = DType::fp8}, 1, 1),
              HasSubstr("fp32, tf32, fp16 and bf16"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {4}}, 2, 1),
              HasSubstr("expected 1 reads and 1 writes, got 2 and 1"));
  EXPECT_THAT(refusal({.op = "softmax_cross_entropy", .shape = {1 << 20, 2}}, 2, 2),
              HasSubstr("more rows than the workspace"));
}

}  // namespace
}  // namespace foreplan
