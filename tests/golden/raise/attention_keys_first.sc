; run: raise
; idempotent
; rtol 1e-6
graph @keras(%q: f32[1,4,3,5], %k: f32[1,6,3,5], %v: f32[1,6,3,5]) -> (%y) {
  %1 = const 0.4472136 : f32[]
  %2 = mul %q, %1 : f32[1,4,3,5] from "Mul"
  %3 = reshape %2 : f32[1,1,4,3,5] from "Unsqueeze__81"
  %4 = transpose %3 {perm = [0,3,1,2,4]} : f32[1,3,1,4,5] from "Transpose__83"
  %5 = reshape %4 : f32[3,4,5] from "Reshape__99"
  %6 = transpose %5 {perm = [0,2,1]} : f32[3,5,4] from "Transpose__101"
  %7 = reshape %v : f32[1,6,1,3,5] from "Unsqueeze__127"
  %8 = transpose %7 {perm = [0,3,2,4,1]} : f32[1,3,1,5,6] from "Transpose__129"
  %9 = reshape %k : f32[1,6,1,3,5] from "Unsqueeze__75"
  %10 = transpose %9 {perm = [0,3,1,2,4]} : f32[1,3,6,1,5] from "Transpose__77"
  %11 = reshape %10 : f32[3,6,5] from "Reshape__97"
  %12 = matmul %11, %6 : f32[3,6,4] from "MatMul__102"
  %13 = reshape %8 : f32[3,5,6] from "Reshape__145"
  %14 = transpose %13 {perm = [0,2,1]} : f32[3,6,5] from "Transpose__147"
  %15 = reshape %12 : f32[1,3,6,4] from "Squeeze__109"
  %16 = const 1 : f32[]
  %17 = softmax %15, %16 {axis = 2} : f32[1,3,6,4] from "Softmax"
  %18 = reshape %17 : f32[1,3,1,6,4] from "Unsqueeze__123"
  %19 = transpose %18 {perm = [0,1,4,2,3]} : f32[1,3,4,1,6] from "Transpose__108"
  %20 = reshape %19 : f32[3,4,6] from "Reshape__143"
  %y = matmul %20, %14 : f32[3,4,5] from "MatMul__148"
}
; --- keys by queries, as TensorFlow multiplies: the weights are turned instead
graph @keras(%q: f32[1,4,3,5], %k: f32[1,6,3,5], %v: f32[1,6,3,5]) -> (%y) {
  %5 = const 0.4472136 : f32[]
  %6 = mul %q, %5 : f32[1,4,3,5] from "Mul"
  %7 = reshape %6 : f32[1,1,4,3,5] from "Unsqueeze__81"
  %8 = transpose %7 {perm = [0,3,1,2,4]} : f32[1,3,1,4,5] from "Transpose__83"
  %9 = reshape %v : f32[1,6,1,3,5] from "Unsqueeze__127"
  %10 = transpose %9 {perm = [0,3,2,4,1]} : f32[1,3,1,5,6] from "Transpose__129"
  %11 = reshape %k : f32[1,6,1,3,5] from "Unsqueeze__75"
  %12 = transpose %11 {perm = [0,3,1,2,4]} : f32[1,3,6,1,5] from "Transpose__77"
  %13 = reshape %10 : f32[3,5,6] from "Reshape__145"
  %14 = transpose %13 {perm = [0,2,1]} : f32[3,6,5] from "Transpose__147"
  %15 = reshape %12 : f32[1,3,6,5] from "MatMul__148", "Reshape__143", "Transpose__108", "Unsqueeze__123", "Softmax", "Squeeze__109", "MatMul__102", "Reshape__97"
  %16 = reshape %14 : f32[1,3,6,5] from "MatMul__148", "Reshape__143", "Transpose__108", "Unsqueeze__123", "Softmax", "Squeeze__109", "MatMul__102"
  %17 = reshape %8 : f32[1,3,4,5] from "MatMul__148", "Reshape__143", "Transpose__108", "Unsqueeze__123", "Softmax", "Squeeze__109", "MatMul__102", "Transpose__101", "Reshape__99"
  %18 = const 1 : f32[]
  %19 = attention %17, %15, %16, %18 : f32[1,3,4,5] from "MatMul__148", "Reshape__143", "Transpose__108", "Unsqueeze__123", "Softmax", "Squeeze__109", "MatMul__102"
  %y = reshape %19 : f32[3,4,5] from "MatMul__148", "Reshape__143", "Transpose__108", "Unsqueeze__123", "Softmax", "Squeeze__109", "MatMul__102"
}
