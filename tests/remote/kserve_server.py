"""Serves an ONNX file by onnxruntime under KServe's own model server, which takes binary tensors: kserve_server.py MODEL PORT."""

import sys

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer

from settings import ports


class OnnxModel(Model):
    def __init__(self, name, path):
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def get_input_types(self):
        return ports(self.session.get_inputs())

    def get_output_types(self):
        return ports(self.session.get_outputs())

    async def predict(self, payload, headers=None, response_headers=None):
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for node, array in zip(self.session.get_outputs(), self.session.run(None, feeds)):
            output = InferOutput(name=node.name, shape=list(array.shape), datatype="FP32")
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or "",
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    model, port = sys.argv[1:3]
    ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([OnnxModel("digits", model)])
