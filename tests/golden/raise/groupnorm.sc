; run: raise
; idempotent
; rtol 1e-4
graph @g(%x: f32[n,6,h,w], %z: f32[n,4,c]) -> (%group, %instance, %flax) {
  %gamma = const @gamma : f32[6,1,1]
  %beta = const @beta : f32[6,1,1]
  %eps = const 1e-05 : f32[]
  %two = const 2 : f32[]
  %0 = reshape %x {shape = [n,2,3*h*w]} : f32[n,2,3*h*w] from "group/Reshape"
  %1 = reduce_mean %0 {axes = [2], keepdims = 0} : f32[n,2] from "group/ReduceMean"
  %2 = reshape %1 {shape = [n,2,1]} : f32[n,2,1] from "group/Unsqueeze"
  %3 = sub %0, %2 : f32[n,2,3*h*w] from "group/Sub"
  %4 = pow %3, %two : f32[n,2,3*h*w] from "group/Pow"
  %5 = reduce_mean %4 {axes = [-1]} : f32[n,2,1] from "group/ReduceMean_1"
  %6 = add %5, %eps : f32[n,2,1] from "group/Add"
  %7 = sqrt %6 : f32[n,2,1] from "group/Sqrt"
  %8 = div %3, %7 : f32[n,2,3*h*w] from "group/Div"
  %9 = reshape %8 {shape = [n,6,h,w]} : f32[n,6,h,w] from "group/Reshape_1"
  %10 = mul %9, %gamma : f32[n,6,h,w] from "group/Mul"
  %group = add %10, %beta : f32[n,6,h,w] from "group/Add_1"
  %20 = reduce_mean %x {axes = [2,3]} : f32[n,6,1,1] from "moments/mean"
  %21 = sub %x, %20 : f32[n,6,h,w] from "moments/SquaredDifference"
  %22 = mul %21, %21 : f32[n,6,h,w] from "moments/SquaredDifference"
  %23 = reduce_mean %22 {axes = [2,3]} : f32[n,6,1,1] from "moments/variance"
  %24 = add %23, %eps : f32[n,6,1,1] from "batchnorm/add"
  %25 = sqrt %24 : f32[n,6,1,1] from "batchnorm/Rsqrt"
  %26 = reciprocal %25 : f32[n,6,1,1] from "batchnorm/Rsqrt"
  %27 = mul %26, %gamma : f32[n,6,1,1] from "batchnorm/mul"
  %28 = mul %x, %27 : f32[n,6,h,w] from "batchnorm/mul_1"
  %29 = mul %20, %27 : f32[n,6,1,1] from "batchnorm/mul_2"
  %30 = sub %beta, %29 : f32[n,6,1,1] from "batchnorm/sub"
  %instance = add %28, %30 : f32[n,6,h,w] from "batchnorm/add_1"
  %rows = const @rows : f32[4,1]
  %40 = mul %z, %z : f32[n,4,c] from "Square"
  %41 = reduce_mean %40 {axes = [2]} : f32[n,4,1] from "Mean_1"
  %42 = reduce_mean %z {axes = [2]} : f32[n,4,1] from "Mean"
  %43 = mul %42, %42 : f32[n,4,1] from "Square_1"
  %44 = sub %41, %43 : f32[n,4,1] from "Sub"
  %45 = relu %44 : f32[n,4,1] from "Max"
  %46 = add %45, %eps : f32[n,4,1] from "Add"
  %47 = sqrt %46 : f32[n,4,1] from "Sqrt"
  %48 = reciprocal %47 : f32[n,4,1] from "Rsqrt"
  %49 = mul %48, %rows : f32[n,4,1] from "Mul"
  %50 = sub %z, %42 : f32[n,4,c] from "Sub_1"
  %flax = mul %50, %49 : f32[n,4,c] from "Mul_1"
}
; --- rows are normalised; what is a number for each channel comes after them
graph @g(%x: f32[n,6,h,w], %z: f32[n,4,c]) -> (%group, %instance, %flax) {
  %4 = reshape %x : f32[n,2,3*h*w] from "group/Reshape"
  %5 = const 1 : f32[] from "group/Div", "group/Sqrt", "group/Add", "group/ReduceMean_1", "group/Pow", "group/Sub", "group/ReduceMean"
  %6 = const 0 : f32[] from "group/Div", "group/Sqrt", "group/Add", "group/ReduceMean_1", "group/Pow", "group/Sub", "group/ReduceMean"
  %eps = const 1e-05 : f32[]
  %8 = layernorm %4, %5, %6, %eps {axis = 2} : f32[n,2,3*h*w] from "group/Div", "group/Sqrt", "group/Add", "group/ReduceMean_1", "group/Pow", "group/Sub", "group/ReduceMean"
  %9 = reshape %8 : f32[n,6,h,w] from "group/Reshape_1"
  %gamma = const @gamma : f32[6,1,1]
  %11 = mul %9, %gamma : f32[n,6,h,w] from "group/Mul"
  %beta = const @beta : f32[6,1,1]
  %group = add %11, %beta : f32[n,6,h,w] from "group/Add_1"
  %14 = layernorm %x, %5, %6, %eps {axis = 2} : f32[n,6,h,w] from "batchnorm/add_1", "batchnorm/mul_1", "batchnorm/sub", "batchnorm/mul", "batchnorm/Rsqrt", "batchnorm/add", "moments/variance", "moments/SquaredDifference", "moments/mean", "batchnorm/mul_2"
  %15 = mul %14, %gamma : f32[n,6,h,w] from "batchnorm/add_1", "batchnorm/mul_1", "batchnorm/sub", "batchnorm/mul", "batchnorm/Rsqrt", "batchnorm/add", "moments/variance", "moments/SquaredDifference", "moments/mean", "batchnorm/mul_2"
  %instance = add %15, %beta : f32[n,6,h,w] from "batchnorm/add_1", "batchnorm/mul_1", "batchnorm/sub", "batchnorm/mul", "batchnorm/Rsqrt", "batchnorm/add", "moments/variance", "moments/SquaredDifference", "moments/mean", "batchnorm/mul_2"
  %17 = layernorm %z, %5, %6, %eps {axis = 2} : f32[n,4,c] from "Mul_1", "Mul", "Rsqrt", "Sqrt", "Add", "Max", "Sub", "Mean_1", "Square", "Square_1", "Mean", "Sub_1"
  %rows = const @rows : f32[4,1]
  %flax = mul %17, %rows : f32[n,4,c] from "Mul_1", "Mul", "Rsqrt", "Sqrt", "Add", "Max", "Sub", "Mean_1", "Square", "Square_1", "Mean", "Sub_1"
}
