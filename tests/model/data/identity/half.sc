; the model's own f16 and bf16, whose ranges differ
graph @g(%x: f16[8,64], %w: f16[64,64], %v: bf16[64,32], %p: f16[64,4], %o: f16[4]) -> (%y, %z, %u) {
  %k = const 0.0625 : f16[]
  %a = matmul %x, %w : f16[8,64] from "product"
  %b = relu %a : f16[8,64] from "relu"
  %c = mul %b, %k : f16[8,64] from "temperature"
  %one = const 1 : f16[]
  %y = softmax %c, %one {axis = 1} : f16[8,64] from "softmax"
  %d = cast %b : bf16[8,64] from "wider"
  %e = matmul %d, %v : bf16[8,32] from "second"
  %f = mul %e, %e : bf16[8,32] from "square"
  %g = add %f, %e : bf16[8,32] from "sum"
  %z = tanh %g : bf16[8,32] from "tanh"
  %u = matmul %b, %p, %o : f16[8,4] from "biased"
}
