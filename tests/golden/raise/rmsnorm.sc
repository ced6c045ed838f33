; run: raise
; idempotent
; rtol 2e-3
graph @g(%x: f32[n,8], %h: f16[n,8], %z: f32[n,8]) -> (%y, %w, %v) {
  %gamma = const @gamma : f32[8]
  %g16 = const @g16 : f16[8]
  %eps = const 1e-06 : f32[]
  %two = const 2 : f32[]
  %1 = pow %x, %two : f32[n,8] from "norm/Pow"
  %2 = reduce_mean %1 {axes = [-1]} : f32[n,1] from "norm/ReduceMean"
  %3 = add %2, %eps : f32[n,1] from "norm/Add"
  %4 = sqrt %3 : f32[n,1] from "norm/Sqrt"
  %one = const 1 : f32[]
  %5 = div %one, %4 : f32[n,1] from "norm/Div"
  %6 = mul %x, %5 : f32[n,8] from "norm/Mul"
  %y = mul %gamma, %6 : f32[n,8] from "norm/Mul_1"
  %11 = cast %h : f32[n,8] from "Cast"
  %12 = mul %11, %11 : f32[n,8] from "Square"
  %13 = reduce_mean %12 {axes = [1]} : f32[n,1] from "Mean"
  %14 = add %13, %eps : f32[n,1] from "Add"
  %15 = sqrt %14 : f32[n,1] from "Sqrt"
  %16 = reciprocal %15 : f32[n,1] from "Rsqrt"
  %17 = mul %11, %16 : f32[n,8] from "Mul"
  %18 = cast %17 : f16[n,8] from "Cast_1"
  %w = mul %18, %g16 : f16[n,8] from "Mul_1"
  %21 = mul %z, %z : f32[n,8] from "a"
  %22 = reduce_mean %21 {axes = [0]} : f32[1,8] from "b"
  %23 = add %22, %eps : f32[1,8] from "c"
  %24 = sqrt %23 : f32[1,8] from "d"
  %v = div %z, %24 : f32[n,8] from "not over the last axis"
}
; --- as PyTorch writes it; in f16 as Hugging Face does, in f32 between casts; another axis is left
graph @g(%x: f32[n,8], %h: f16[n,8], %z: f32[n,8]) -> (%y, %w, %v) {
  %gamma = const @gamma : f32[8]
  %eps = const 1e-06 : f32[]
  %y = rmsnorm %x, %gamma, %eps {axis = 1} : f32[n,8] from "norm/Mul_1", "norm/Mul", "norm/Div", "norm/Sqrt", "norm/Add", "norm/ReduceMean", "norm/Pow"
  %g16 = const @g16 : f16[8]
  %w = rmsnorm %h, %g16, %eps {axis = 1} : f16[n,8] from "Mul_1", "Cast_1", "Mul", "Rsqrt", "Sqrt", "Add", "Mean", "Square", "Cast"
  %10 = mul %z, %z : f32[n,8] from "a"
  %11 = reduce_mean %10 {axes = [0]} : f32[1,8] from "b"
  %12 = add %11, %eps : f32[1,8] from "c"
  %13 = sqrt %12 : f32[1,8] from "d"
  %v = div %z, %13 : f32[n,8] from "not over the last axis"
}
