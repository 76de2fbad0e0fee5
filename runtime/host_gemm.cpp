#include "runtime/host_gemm.hpp"

#include <fmt/format.h>

#include <dnnl.hpp>
#include <vector>

#include "runtime/host_thread.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using dnnl::memory;

memory::desc matrix(std::int64_t rows, std::int64_t columns, bool transposed) {
  return {{rows, columns},
          memory::data_type::f32,
          transposed ? memory::dims{1, rows} : memory::dims{columns, 1}};
}

dnnl::matmul::primitive_desc describe(const MatrixProduct& p, const dnnl::engine& engine) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (p.accumulate) {
    dnnl::post_ops add;
    add.append_sum(1.0F);
    attributes.set_post_ops(add);
  }
  const memory::desc a = matrix(p.m, p.k, p.transposed_a);
  const memory::desc b = matrix(p.k, p.n, p.transposed_b);
  const memory::desc c = matrix(p.m, p.n, false);
  if (p.bias == nullptr) return {dnnl::matmul::desc(a, b, c), attributes, engine};
  return {dnnl::matmul::desc(a, b, matrix(1, p.n, false), c), attributes, engine};
}

/// The primitive with its arguments listed once: the C interface takes them as they lie.
class ProductCall final : public HostCall {
 public:
  explicit ProductCall(const MatrixProduct& p)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        description_(describe(p, engine_)),
        primitive_(description_),
        scratch_(static_cast<std::size_t>(description_.scratchpad_desc().get_size()) + kAlignment) {
    bind(DNNL_ARG_SRC, description_.src_desc(), p.a);
    bind(DNNL_ARG_WEIGHTS, description_.weights_desc(), p.b);
    bind(DNNL_ARG_DST, description_.dst_desc(), p.c);
    if (p.bias != nullptr) bind(DNNL_ARG_BIAS, description_.bias_desc(), p.bias);
    void* scratch = scratch_.data();
    std::size_t space = scratch_.size();
    std::align(kAlignment, 1, scratch, space);
    bind(DNNL_ARG_SCRATCHPAD, description_.scratchpad_desc(), static_cast<std::byte*>(scratch));
  }

  void run(const StepContext&) override {
    const dnnl_status_t status = dnnl_primitive_execute(
        primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()), arguments_.data());
    if (status != dnnl_success) {
      throw Error(ErrorCode::failed,
                  fmt::format("oneDNN refused to run (status {})", static_cast<int>(status)));
    }
  }

 private:
  static constexpr std::size_t kAlignment = 4096;

  // oneDNN takes every address as void*; it writes to the destination and the scratch memory only.
  void bind(int argument, const memory::desc& description, const std::byte* data) {
    memories_.emplace_back(description, engine_, const_cast<std::byte*>(data));
    arguments_.push_back({argument, memories_.back().get()});
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul primitive_;
  std::vector<std::byte> scratch_;
  std::vector<memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

}  // namespace

std::unique_ptr<HostCall> make_product(const MatrixProduct& product) {
  // The primitive is laid out for as many threads as its maker would use.
  const SingleThreadedOpenMp single;
  try {
    return std::make_unique<ProductCall>(product);
  } catch (const dnnl::error& error) {
    throw Error(ErrorCode::unavailable,
                fmt::format("oneDNN has no product [{}x{}]x[{}x{}]: {}", product.m, product.k,
                            product.k, product.n, error.what()));
  }
}

}  // namespace foreplan
