; run: raise
; idempotent
; rtol 1e-4
graph @g(%x: f32[n,s,8], %z: f32[n,s,8]) -> (%y, %w) {
  %gamma = const @gamma : f32[8]
  %beta = const @beta : f32[8]
  %eps = const 1e-03 : f32[]
  %zero = const 0 : f32[]
  %1 = mul %x, %x : f32[n,s,8] from "Square"
  %2 = reduce_mean %1 {axes = [2]} : f32[n,s,1] from "Mean_1"
  %3 = reduce_mean %x {axes = [2]} : f32[n,s,1] from "Mean"
  %4 = mul %3, %3 : f32[n,s,1] from "Square_1"
  %5 = sub %2, %4 : f32[n,s,1] from "Sub"
  %6 = max %5, %zero : f32[n,s,1] from "Max"
  %7 = add %6, %eps : f32[n,s,1] from "Add"
  %8 = sqrt %7 : f32[n,s,1] from "Sqrt"
  %9 = reciprocal %8 : f32[n,s,1] from "Rsqrt"
  %10 = mul %9, %gamma : f32[n,s,8] from "Mul"
  %11 = sub %x, %3 : f32[n,s,8] from "Sub_1"
  %12 = mul %11, %10 : f32[n,s,8] from "Mul_1"
  %y = add %12, %beta : f32[n,s,8] from "Add_1"
  %21 = reduce_mean %z {axes = [-1]} : f32[n,s,1] from "moments/mean"
  %22 = sub %z, %21 : f32[n,s,8] from "moments/SquaredDifference"
  %23 = mul %22, %22 : f32[n,s,8] from "moments/SquaredDifference"
  %24 = reduce_mean %23 {axes = [-1]} : f32[n,s,1] from "moments/variance"
  %25 = add %24, %eps : f32[n,s,1] from "batchnorm/add"
  %26 = sqrt %25 : f32[n,s,1] from "batchnorm/Rsqrt"
  %27 = reciprocal %26 : f32[n,s,1] from "batchnorm/Rsqrt"
  %28 = mul %27, %gamma : f32[n,s,8] from "batchnorm/mul"
  %29 = mul %z, %28 : f32[n,s,8] from "batchnorm/mul_1"
  %30 = mul %21, %28 : f32[n,s,8] from "batchnorm/mul_2"
  %31 = sub %beta, %30 : f32[n,s,8] from "batchnorm/sub"
  %w = add %29, %31 : f32[n,s,8] from "batchnorm/add_1"
}
; --- the variance as Flax writes it, E[x^2] - E[x]^2; the product distributed as Keras does
graph @g(%x: f32[n,s,8], %z: f32[n,s,8]) -> (%y, %w) {
  %gamma = const @gamma : f32[8]
  %beta = const @beta : f32[8]
  %eps = const 0.001 : f32[]
  %y = layernorm %x, %gamma, %beta, %eps {axis = 2} : f32[n,s,8] from "Add_1", "Mul_1", "Mul", "Rsqrt", "Sqrt", "Add", "Max", "Sub", "Mean_1", "Square", "Square_1", "Mean", "Sub_1"
  %w = layernorm %z, %gamma, %beta, %eps {axis = 2} : f32[n,s,8] from "batchnorm/add_1", "batchnorm/mul_1", "batchnorm/sub", "batchnorm/mul", "batchnorm/Rsqrt", "batchnorm/add", "moments/variance", "moments/SquaredDifference", "moments/mean", "batchnorm/mul_2"
}
