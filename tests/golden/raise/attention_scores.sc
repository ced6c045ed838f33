; run: raise
; idempotent
; rtol 1e-6
graph @bert(%x: f32[2,5,8], %y: f32[2,5,8], %z: f32[2,5,8], %m: f32[2,1,1,5]) -> (%out) {
  %1 = reshape %x : f32[2,5,2,4] from "query/Reshape"
  %2 = transpose %1 {perm = [0,2,1,3]} : f32[2,2,5,4] from "query/Transpose"
  %3 = reshape %y : f32[2,5,2,4] from "key/Reshape"
  %4 = transpose %3 {perm = [0,2,3,1]} : f32[2,2,4,5] from "key/Transpose"
  %5 = reshape %z : f32[2,5,2,4] from "value/Reshape"
  %6 = transpose %5 {perm = [0,2,1,3]} : f32[2,2,5,4] from "value/Transpose"
  %7 = matmul %2, %4 : f32[2,2,5,5] from "self/MatMul"
  %8 = const 2 : f32[]
  %9 = div %7, %8 : f32[2,2,5,5] from "self/Div"
  %10 = add %9, %m : f32[2,2,5,5] from "self/Add"
  %11 = const 1 : f32[]
  %12 = softmax %10, %11 {axis = 3} : f32[2,2,5,5] from "self/Softmax"
  %13 = matmul %12, %6 : f32[2,2,5,4] from "self/MatMul_1"
  %14 = transpose %13 {perm = [0,2,1,3]} : f32[2,5,2,4] from "self/Transpose"
  %out = reshape %14 : f32[2,5,8] from "self/Reshape"
}
; --- the scale is divided by; the key, which the product reads transposed, is turned back
graph @bert(%x: f32[2,5,8], %y: f32[2,5,8], %z: f32[2,5,8], %m: f32[2,1,1,5]) -> (%out) {
  %6 = reshape %x : f32[2,5,2,4] from "query/Reshape"
  %7 = transpose %6 {perm = [0,2,1,3]} : f32[2,2,5,4] from "query/Transpose"
  %8 = reshape %y : f32[2,5,2,4] from "key/Reshape"
  %9 = reshape %z : f32[2,5,2,4] from "value/Reshape"
  %10 = transpose %9 {perm = [0,2,1,3]} : f32[2,2,5,4] from "value/Transpose"
  %11 = transpose %8 {perm = [0,2,1,3]} : f32[2,2,5,4] from "self/MatMul_1", "self/Softmax", "self/Add", "self/Div", "self/MatMul"
  %12 = const 0.5 : f32[] from "self/MatMul_1", "self/Softmax", "self/Add", "self/Div", "self/MatMul"
  %13 = attention %7, %11, %10, %12, %m : f32[2,2,5,4] from "self/MatMul_1", "self/Softmax", "self/Add", "self/Div", "self/MatMul"
  %14 = transpose %13 {perm = [0,2,1,3]} : f32[2,5,2,4] from "self/Transpose"
  %out = reshape %14 : f32[2,5,8] from "self/Reshape"
}
