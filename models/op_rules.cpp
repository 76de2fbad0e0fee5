#include "models/op_rules.hpp"

#include <algorithm>
#include <array>

namespace foreplan {
namespace {

using Shape = std::span<const double>;
using enum Pass;

// Element by element: n elements, `in` operands read, `out` written.
template <int flops, int in, int out>
OpWork each(Shape s) {
  return {.vector = flops * s[0], .reads = in * s[0], .writes = out * s[0]};
}

// linear, matmul, expert_linear: `w` numbers of weights, `bias` numbers and m n operations for a bias.
OpWork product(double m, double k, double n, double w, double bias) {
  return {.matrix = 2 * m * k * n,
          .vector = bias > 0 ? m * n : 0,
          .reads = m * k + w + bias,
          .writes = m * n,
          .reduction = true};
}
OpWork product_input(double m, double k, double n, double w) {
  return {.matrix = 2 * m * k * n, .reads = m * n + w, .writes = m * k, .reduction = true};
}
OpWork product_weight(double m, double k, double n, double w, double bias) {
  return {.matrix = 2 * m * k * n,
          .vector = bias > 0 ? m * n : 0,
          .reads = m * k + m * n,
          .writes = w + bias,
          .reduction = true};
}

/// attention [samples, heads, kv_heads, queries, keys, seen, qk, v].
struct AttentionDims {
  explicit AttentionDims(Shape s)
      : scores(s[0] * s[1] * s[3] * s[5]),
        q(s[0] * s[1] * s[3] * s[6]),
        k(s[0] * s[2] * s[4] * s[6]),
        v(s[0] * s[2] * s[4] * s[7]),
        out(s[0] * s[1] * s[3] * s[7]),
        rows(s[0] * s[1] * s[3]),
        products(2 * scores * (s[6] + s[7])) {}
  double scores, q, k, v, out, rows, products;
};

OpWork attention_forward(Shape s) {
  const AttentionDims d(s);
  return {.matrix = d.products,
          .vector = 5 * d.scores,
          .reads = d.q + d.k + d.v,
          .writes = d.out,
          .words = d.rows};
}
OpWork attention_backward(Shape s) {
  const AttentionDims d(s);
  return {.matrix = 2 * d.products,
          .vector = 4 * d.scores,
          .reads = d.q + d.k + d.v + 2 * d.out,
          .writes = d.q + d.k + d.v,
          .words = d.rows};
}

/// conv2d [samples, in_height, in_width, in, out_height, out_width, out, kernel_h, kernel_w, groups].
struct ConvolutionDims {
  explicit ConvolutionDims(Shape s)
      : x(s[0] * s[1] * s[2] * s[3]),
        y(s[0] * s[4] * s[5] * s[6]),
        w(s[3] / s[9] * s[7] * s[8] * s[6]),
        products(2 * y * s[3] / s[9] * s[7] * s[8]) {}
  double x, y, w, products;
};

OpWork convolution_forward(Shape s) {
  const ConvolutionDims d(s);
  return {.matrix = d.products, .reads = d.x + d.w, .writes = d.y, .reduction = true};
}
OpWork convolution_input(Shape s) {
  const ConvolutionDims d(s);
  return {.matrix = d.products, .reads = d.y + d.w, .writes = d.x, .reduction = true};
}
OpWork convolution_weight(Shape s) {
  const ConvolutionDims d(s);
  return {.matrix = d.products, .reads = d.x + d.y, .writes = d.w, .reduction = true};
}

// Norms over m rows of n: `per_row` words of statistics a row, `per_column` words a column.
OpWork norm(double flops, double operands, Shape s, double columns, double statistics) {
  const double mn = s[0] * s[1];
  return {.vector = flops * mn,
          .reads = operands * mn + columns * s[1],
          .writes = mn,
          .words = statistics};
}
OpWork norm_weight(double flops, double results, Shape s, double statistics) {
  const double mn = s[0] * s[1];
  return {.vector = flops * mn,
          .reads = 2 * mn,
          .writes = results * s[1],
          .words = statistics,
          .reduction = true};
}

// One line an op and pass.
constexpr auto kRules = std::to_array<OpRule>({
    {"linear", forward, "m, k, n",
     [](Shape s) { return product(s[0], s[1], s[2], s[1] * s[2], s[2]); }},
    {"linear", backward_input, "m, k, n",
     [](Shape s) { return product_input(s[0], s[1], s[2], s[1] * s[2]); }},
    {"linear", backward_weight, "m, k, n",
     [](Shape s) { return product_weight(s[0], s[1], s[2], s[1] * s[2], s[2]); }},
    {"matmul", forward, "m, k, n",
     [](Shape s) { return product(s[0], s[1], s[2], s[1] * s[2], 0); }},
    {"matmul", backward_input, "m, k, n",
     [](Shape s) { return product_input(s[0], s[1], s[2], s[1] * s[2]); }},
    {"matmul", backward_weight, "m, k, n",
     [](Shape s) { return product_weight(s[0], s[1], s[2], s[1] * s[2], 0); }},
    {"batched_matmul", forward, "batch, m, k, n",
     [](Shape s) { return product(s[0] * s[1], s[2], s[3], s[0] * s[2] * s[3], 0); }},
    {"batched_matmul", backward_input, "batch, m, k, n",
     [](Shape s) { return product_input(s[0] * s[1], s[2], s[3], s[0] * s[2] * s[3]); }},
    {"batched_matmul", backward_weight, "batch, m, k, n",
     [](Shape s) { return product_weight(s[0] * s[1], s[2], s[3], s[0] * s[2] * s[3], 0); }},
    {"expert_linear", forward, "experts, m, k, n",
     [](Shape s) { return product(s[1], s[2], s[3], s[0] * s[2] * s[3], 0); }},
    {"expert_linear", backward_input, "experts, m, k, n",
     [](Shape s) { return product_input(s[1], s[2], s[3], s[0] * s[2] * s[3]); }},
    {"expert_linear", backward_weight, "experts, m, k, n",
     [](Shape s) { return product_weight(s[1], s[2], s[3], s[0] * s[2] * s[3], 0); }},
    {"bias_add", forward, "m, n",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[1], .reads = s[0] * s[1] + s[1], .writes = s[0] * s[1]};
     }},
    {"bias_add", backward_weight, "m, n",
     [](Shape s) {
       return OpWork{
           .vector = s[0] * s[1], .reads = s[0] * s[1], .writes = s[1], .reduction = true};
     }},

    {"relu", forward, "n", each<1, 1, 1>},
    {"relu", backward_input, "n", each<1, 2, 1>},
    {"gelu", forward, "n", each<5, 1, 1>},
    {"gelu", backward_input, "n", each<11, 2, 1>},
    {"gelu_tanh", forward, "n", each<9, 1, 1>},
    {"gelu_tanh", backward_input, "n", each<18, 2, 1>},
    {"silu", forward, "n", each<4, 1, 1>},
    {"silu", backward_input, "n", each<9, 2, 1>},
    {"relu_squared", forward, "n", each<2, 1, 1>},
    {"relu_squared", backward_input, "n", each<3, 2, 1>},
    {"tanh", forward, "n", each<1, 1, 1>},
    {"tanh", backward_input, "n", each<3, 2, 1>},
    {"gated_silu", forward, "n", each<5, 2, 1>},
    {"gated_silu", backward_input, "n", each<12, 3, 2>},
    {"gated_gelu", forward, "n", each<10, 2, 1>},
    {"gated_gelu", backward_input, "n", each<21, 3, 2>},
    {"rotary", forward, "n", each<3, 1, 1>},
    {"rotary", backward_input, "n", each<3, 1, 1>},
    {"add", forward, "n", each<1, 2, 1>},
    {"accumulate", forward, "n", each<1, 2, 1>},
    {"copy", forward, "n", each<0, 1, 1>},
    {"cast", forward, "n",
     [](Shape s) {
       return OpWork{.vector = 2 * s[0], .reads = s[0], .octets = 2 * s[0]};
     }},
    {"dropout", forward, "n",
     [](Shape s) {
       return OpWork{.vector = 2 * s[0], .reads = s[0], .writes = s[0], .octets = s[0]};
     }},
    {"dropout", backward_input, "n",
     [](Shape s) {
       return OpWork{.vector = 2 * s[0], .reads = s[0], .writes = s[0], .octets = s[0]};
     }},

    {"layer_norm", forward, "m, n", [](Shape s) { return norm(7, 1, s, 2, 2 * s[0]); }},
    {"layer_norm", backward_input, "m, n", [](Shape s) { return norm(10, 2, s, 1, 2 * s[0]); }},
    {"layer_norm", backward_weight, "m, n", [](Shape s) { return norm_weight(5, 2, s, 2 * s[0]); }},
    {"rms_norm", forward, "m, n", [](Shape s) { return norm(4, 1, s, 1, s[0]); }},
    {"rms_norm", backward_input, "m, n", [](Shape s) { return norm(8, 2, s, 1, s[0]); }},
    {"rms_norm", backward_weight, "m, n", [](Shape s) { return norm_weight(3, 1, s, s[0]); }},
    {"batch_norm", forward, "m, n", [](Shape s) { return norm(7, 1, s, 2, 2 * s[1]); }},
    {"batch_norm", backward_input, "m, n", [](Shape s) { return norm(10, 2, s, 1, 2 * s[1]); }},
    {"batch_norm", backward_weight, "m, n", [](Shape s) { return norm_weight(5, 2, s, 2 * s[1]); }},
    {"softmax", forward, "m, n", [](Shape s) { return norm(5, 1, s, 0, 0); }},
    {"softmax", backward_input, "m, n", [](Shape s) { return norm(4, 2, s, 0, 0); }},

    // Only the rows that occur are moved, at most one a token.
    {"embedding", forward, "m, vocabulary, n",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[2], .writes = s[0] * s[2], .words = s[0]};
     }},
    {"embedding", backward_weight, "m, vocabulary, n",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[2],
                     .reads = s[0] * s[2],
                     .writes = s[1] * s[2],
                     .words = s[0],
                     .reduction = true};
     }},
    {"position_embedding", forward, "m, rows, n",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[2],
                     .reads = s[0] * s[2] + std::min(s[0], s[1]) * s[2],
                     .writes = s[0] * s[2]};
     }},
    {"position_embedding", backward_weight, "m, rows, n",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[2],
                     .reads = s[0] * s[2],
                     .writes = s[1] * s[2],
                     .reduction = true};
     }},
    {"class_token", forward, "samples, rows, n",
     [](Shape s) {
       return OpWork{.reads = (s[0] * (s[1] - 1) + 1) * s[2], .writes = s[0] * s[1] * s[2]};
     }},
    {"class_token", backward_input, "samples, rows, n",
     [](Shape s) {
       const double x = s[0] * (s[1] - 1) * s[2];
       return OpWork{.reads = x, .writes = x};
     }},
    {"class_token", backward_weight, "samples, rows, n",
     [](Shape s) {
       return OpWork{
           .vector = s[0] * s[2], .reads = s[0] * s[2], .writes = s[2], .reduction = true};
     }},
    {"select", forward, "samples, rows, n",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[2], .writes = s[0] * s[2]};
     }},
    {"select", backward_input, "samples, rows, n",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[2], .writes = s[0] * s[1] * s[2]};
     }},

    {"attention", forward, "samples, heads, kv_heads, queries, keys, seen, qk, v",
     attention_forward},
    {"attention", backward_input, "samples, heads, kv_heads, queries, keys, seen, qk, v",
     attention_backward},
    {"causal_attention", forward, "samples, heads, kv_heads, queries, keys, seen, qk, v",
     attention_forward},
    {"causal_attention", backward_input, "samples, heads, kv_heads, queries, keys, seen, qk, v",
     attention_backward},

    {"conv2d", forward,
     "samples, in_height, in_width, in, out_height, out_width, out, kernel_height, kernel_width, "
     "groups",
     convolution_forward},
    {"conv2d", backward_input,
     "samples, in_height, in_width, in, out_height, out_width, out, kernel_height, kernel_width, "
     "groups",
     convolution_input},
    {"conv2d", backward_weight,
     "samples, in_height, in_width, in, out_height, out_width, out, kernel_height, kernel_width, "
     "groups",
     convolution_weight},
    {"max_pool", forward, "in, out, window",
     [](Shape s) {
       return OpWork{.vector = s[1] * s[2], .reads = s[0], .writes = s[1], .words = s[1]};
     }},
    {"max_pool", backward_input, "in, out, window",
     [](Shape s) {
       return OpWork{.vector = s[1], .reads = s[1], .writes = s[0], .words = s[1]};
     }},
    {"average_pool", forward, "in, out, window",
     [](Shape s) {
       return OpWork{.vector = s[1] * s[2], .reads = s[0], .writes = s[1]};
     }},
    {"average_pool", backward_input, "in, out, window",
     [](Shape s) {
       return OpWork{.vector = s[1] * s[2], .reads = s[1], .writes = s[0]};
     }},

    {"top_k", forward, "m, experts, k",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[1] * (5 + s[2]),
                     .reads = s[0] * s[1],
                     .writes = s[0] * s[2],
                     .words = s[0] * s[2]};
     }},
    {"top_k", backward_input, "m, experts, k",
     [](Shape s) {
       return OpWork{.vector = 4 * s[0] * s[1],
                     .reads = 2 * s[0] * s[2],
                     .writes = s[0] * s[1],
                     .words = s[0] * s[2]};
     }},
    {"dispatch", forward, "m, k, n",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[2], .writes = s[0] * s[1] * s[2], .words = s[0] * s[1]};
     }},
    {"dispatch", backward_input, "m, k, n",
     [](Shape s) {
       return OpWork{.vector = s[0] * s[1] * s[2],
                     .reads = s[0] * s[1] * s[2],
                     .writes = s[0] * s[2],
                     .words = s[0] * s[1]};
     }},
    {"combine", forward, "m, k, n",
     [](Shape s) {
       return OpWork{.vector = 2 * s[0] * s[1] * s[2],
                     .reads = s[0] * s[1] * s[2] + s[0] * s[1],
                     .writes = s[0] * s[2],
                     .words = s[0] * s[1]};
     }},
    {"combine", backward_input, "m, k, n",
     [](Shape s) {
       return OpWork{.vector = 3 * s[0] * s[1] * s[2],
                     .reads = s[0] * s[2] + s[0] * s[1] * s[2] + s[0] * s[1],
                     .writes = s[0] * s[1] * s[2] + s[0] * s[1],
                     .words = s[0] * s[1]};
     }},

    {"gather_columns", forward, "m, n, parts",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[1], .writes = s[0] * s[1]};
     }},
    {"gather_columns", backward_input, "m, n, parts",
     [](Shape s) {
       return OpWork{.reads = s[0] * s[1] / s[2], .writes = s[0] * s[1] / s[2]};
     }},
    {"softmax_cross_entropy", forward, "m, n",
     [](Shape s) {
       const double mn = s[0] * s[1];
       return OpWork{.vector = 5 * mn, .reads = mn, .writes = mn + 1, .words = s[0]};
     }},
    {"softmax_cross_entropy", backward_input, "m, n",
     [](Shape s) {
       const double mn = s[0] * s[1];
       return OpWork{.vector = 2 * mn, .reads = mn, .writes = mn, .words = s[0]};
     }},
    {"sgd", optimizer, "n",
     [](Shape s) {
       return OpWork{.vector = 4 * s[0], .reads = 2 * s[0], .writes = s[0], .words = 2 * s[0]};
     }},
    {"adam", optimizer, "n",
     [](Shape s) {
       return OpWork{.vector = 14 * s[0], .reads = 2 * s[0], .writes = s[0], .words = 4 * s[0]};
     }},
    {"sgd_master", optimizer, "n",
     [](Shape s) {
       return OpWork{.vector = 4 * s[0], .writes = s[0], .words = 5 * s[0]};
     }},
    {"adam_master", optimizer, "n",
     [](Shape s) {
       return OpWork{.vector = 14 * s[0], .writes = s[0], .words = 7 * s[0]};
     }},
    {"square_sum", optimizer, "n",
     [](Shape s) {
       return OpWork{.vector = 2 * s[0], .words = s[0]};
     }},
});

}  // namespace

std::span<const OpRule> op_rules() { return kRules; }

}  // namespace foreplan
